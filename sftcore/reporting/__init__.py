"""The report of a whole run, made of the parts that each stage leaves behind."""
