"""How a report shows each kind of examples."""
