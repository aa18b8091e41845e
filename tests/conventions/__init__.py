"""How other frameworks write a layer, read and written."""
