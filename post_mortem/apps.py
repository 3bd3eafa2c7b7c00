from django.apps import AppConfig


class PostMortemConfig(AppConfig):
    name = "post_mortem"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Post-mortem"
