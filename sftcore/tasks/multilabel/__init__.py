"""Any number of labels for each row: each is present or absent by itself."""
