"""Released models in use: folders of images, the server, the web page."""
