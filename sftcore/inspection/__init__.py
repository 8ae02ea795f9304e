"""What the data are: an overview, contact sheets, what test pictures can show, odd labels."""
