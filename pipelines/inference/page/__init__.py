"""The web page: mark a hole in an image, see how it is filled, and steer the filling by class."""
