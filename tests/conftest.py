"""What all tests share: quiet libraries, and property tests that find the same in every run."""

import os

from hypothesis import settings

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

# No deadline: the machine that runs the tests may be busy with others.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
