"""talkhead: talking-head videos from one portrait and one speech recording."""

__version__ = "1.0.0"
