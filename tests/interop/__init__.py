"""Other frameworks' functions, layers and weights, against the frameworks themselves."""
