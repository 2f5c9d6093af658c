"""Properties are checked without a deadline: how long an example takes says how busy the machine is."""

from hypothesis import settings

settings.register_profile("hub", deadline=None)
settings.load_profile("hub")
