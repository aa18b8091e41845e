"""Other frameworks' words and weights, against the frameworks themselves."""
