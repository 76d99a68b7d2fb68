"""A federation of steel plants on Flower: plants send weights and nothing else, and the server averages them."""
