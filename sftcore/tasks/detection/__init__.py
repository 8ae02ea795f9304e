"""Object detection: a box and a class for every object on a picture."""
