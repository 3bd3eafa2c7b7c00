"""The demo desk: a simulated market and trader, loaded through the ordinary services."""

from .load import DEMO_USER, demo_account, demo_password, load_demo, remove_demo
from .showcase import showcase

__all__ = ["DEMO_USER", "demo_account", "demo_password", "load_demo", "remove_demo", "showcase"]
