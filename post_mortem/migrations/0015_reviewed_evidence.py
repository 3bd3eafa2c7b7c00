"""Keep with every word on a cause which evidence it was said of.

Where the audit was written after the word nobody knows what was read, so it stays unknown.
"""

from django.db import migrations, models
from django.db.models import F, OuterRef, Subquery


def remember(apps, schema_editor):
    reviews = apps.get_model("post_mortem", "CauseReview").objects
    audits = apps.get_model("post_mortem", "InsightAudit").objects
    today = audits.filter(pk=OuterRef("audit")).values("evidence_hash")
    unchanged = reviews.filter(audit__evaluated_at__lte=F("created_at")).values("pk")
    reviews.filter(pk__in=unchanged).update(evidence_hash=Subquery(today))


class Migration(migrations.Migration):
    dependencies = [("post_mortem", "0014_covered_a_month")]

    operations = [
        migrations.AddField(
            model_name="causereview",
            name="evidence_hash",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The evidence that was read; empty: not known",
                max_length=64,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
