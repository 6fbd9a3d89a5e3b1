"""The web page: mark a hole in a picture, see how it is filled, and steer the filling by class."""
