"""What a WSGI server runs. Pages and API work; live updates need ASGI."""

import os

from django.core.wsgi import get_wsgi_application

from config.production import refuse_unsafe_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
refuse_unsafe_start()
