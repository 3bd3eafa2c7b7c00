"""What an ASGI server runs: `uvicorn config.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from config.production import refuse_unsafe_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()
refuse_unsafe_start()
