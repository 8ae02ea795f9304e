"""Maps of features, and what is made of them: masks and boxes, their heads and losses."""
