"""Record by which calibration table an audit was judged; audits before had the first shipped one."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FIRST = {
    "schema": "inquest.calibration/1",
    "version": "shipped-1",
    "sha256": "aedc4497df1e0ec144c7f01e332d722ab04a555a86416bb7d7fa80e48d51666b",
    "fitted_on": {
        "name": "simulated losers with one known cause, made gentler by hand",
        "cases": None,
        "split": "seeds below 1,000",
        "date": "2026-11-20",
        "counts": {}
    },
    "figures": {
        "before": None,
        "after": None
    },
    "curves": {
        "news_shock": {
            "intercept": -1.8,
            "slope": 5.5
        },
        "regime_drift": {
            "intercept": -3.3,
            "slope": 5.8
        },
        "volatility_spike": {
            "intercept": -3.4,
            "slope": 6.0
        },
        "liquidity_event": {
            "intercept": -1.6,
            "slope": 5.0
        },
        "external_shock": {
            "intercept": -2.4,
            "slope": 5.4
        },
        "spread_slippage": {
            "intercept": -2.4,
            "slope": 5.4
        },
        "model_error": {
            "intercept": -3.4,
            "slope": 6.4
        },
        "detector_misid": {
            "intercept": -3.2,
            "slope": 6.2
        },
        "false_positive": {
            "intercept": -3.2,
            "slope": 6.1
        },
        "user_psychology": {
            "intercept": -4.4,
            "slope": 7.4
        }
    },
    "unknown": {
        "intercept": 1.3,
        "best": -7.5,
        "second": 1.0
    },
    "sure": 0.9
}


def record_first(apps, schema_editor):
    tables = apps.get_model("post_mortem", "CalibrationTable")
    judged = apps.get_model("post_mortem", "InsightAudit").objects.exclude(top_cause="")
    if judged.exists():
        table, _ = tables.objects.get_or_create(
            sha256=FIRST["sha256"], defaults={"version": FIRST["version"], "data": FIRST}
        )
        judged.update(calibration=table)


class Migration(migrations.Migration):

    dependencies = [
        ('post_mortem', '0002_default_rules'),
        ('trading', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CalibrationTable',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('version', models.CharField(max_length=60)),
                ('data', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AlterField(
            model_name='insightaudit',
            name='is_stale',
            field=models.BooleanField(default=False, help_text='What it was made from changed since'),
        ),
        migrations.CreateModel(
            name='CalibrationAdoption',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('adopted_at', models.DateTimeField(auto_now_add=True)),
                ('note', models.TextField(blank=True)),
                ('adopted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('desk', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='calibrations', to='trading.desk')),
                ('table', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='adoptions', to='post_mortem.calibrationtable')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='insightaudit',
            name='calibration',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='post_mortem.calibrationtable'),
        ),
        migrations.RunPython(record_first, migrations.RunPython.noop),
    ]
