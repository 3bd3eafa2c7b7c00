from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from post_mortem.api import health

urlpatterns = [
    path("api/post-mortem/", include("post_mortem.api.urls")),
    path("api/trading/", include("trading.api_urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    # Split: its script is a file of its own, which the content security policy asks for.
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(url_name="api-schema"),
        name="api-docs",
    ),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("", include("post_mortem.pages.urls")),
]

handler400 = "post_mortem.api.errors.bad_request"
handler403 = "post_mortem.api.errors.permission_denied"
handler404 = "post_mortem.api.errors.not_found"
handler500 = "post_mortem.api.errors.server_error"
