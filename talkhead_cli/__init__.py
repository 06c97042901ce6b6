"""talkhead: talking-head videos from one portrait and one speech recording."""

__version__ = "0.1.0"
