from django.apps import AppConfig


class PostMortemConfig(AppConfig):
    name = "post_mortem"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Post-mortem"

    def ready(self) -> None:
        from post_mortem.services import staleness

        staleness.connect()
