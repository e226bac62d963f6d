"""Notes as values: taken apart, understood, linked with each other, and all that is wrong with them."""
