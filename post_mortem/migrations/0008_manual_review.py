"""Room for what people do with an audit; mark the ones that already ask for it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


NOT_JUDGED, AMBIGUOUS, LOW_COVERAGE, UNEXPLAINED = 1, 2, 4, 8
FILTERED_OUT, PENDING, NEEDS_REVIEW = 4, 5, 6


def mark(apps, schema_editor):
    """As `core/review.py` had it when this was made."""
    audits = apps.get_model("post_mortem", "InsightAudit").objects.exclude(
        outcome__in=(FILTERED_OUT, PENDING)
    )
    ambiguous = audits.annotate(bit=models.F("flags").bitand(1)).filter(bit=1)
    for bits, rows in (
        (NOT_JUDGED, audits.filter(outcome=NEEDS_REVIEW)),
        (AMBIGUOUS, audits.filter(pk__in=ambiguous.values("pk"))),
        (LOW_COVERAGE, audits.filter(coverage__lt=0.95)),
        (UNEXPLAINED, audits.filter(top_cause="unknown", r_multiple__lte=-1.5)),
    ):
        rows.update(
            review_reasons=models.F("review_reasons") + bits, needs_manual_review=True
        )


class Migration(migrations.Migration):

    dependencies = [
        ('post_mortem', '0007_rule_change'),
        ('trading', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHistory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('flagged', 'Flagged'), ('unflagged', 'Unflagged'), ('assigned', 'Assigned'), ('noted', 'Noted'), ('settled', 'Settled'), ('reopened', 'Reopened'), ('overridden', 'Overridden'), ('override undone', 'Override Undone'), ('cause reviewed', 'Reviewed')], max_length=20)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='is_flagged',
            field=models.BooleanField(default=False, help_text='By a person'),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='overridden_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='overridden_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='override_input_hash',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='review_reasons',
            field=models.SmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='review_version',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='settled_hash',
            field=models.CharField(blank=True, help_text='The evidence that somebody has looked at', max_length=64),
        ),
        migrations.AlterField(
            model_name='causereview',
            name='verdict',
            field=models.CharField(choices=[('confirmed', 'Confirmed'), ('rejected', 'Rejected'), ('named', 'Named')], max_length=10),
        ),
        migrations.AddIndex(
            model_name='insightaudit',
            index=models.Index(condition=models.Q(('needs_manual_review', True), ('is_flagged', True), _connector='OR'), fields=['account'], name='audit_to_review'),
        ),
        migrations.AddField(
            model_name='audithistory',
            name='audit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='history', to='post_mortem.insightaudit'),
        ),
        migrations.AddField(
            model_name='audithistory',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
    ]
