"""Ship one rule a horizon: the signal's own levels decide, results within 0.1 R are neutral.

No stop or target is invented by default; a desk adds its own where its signals have none.
"""

from django.db import migrations

HORIZONS = {
    "1H": "Signals after one hour.",
    "4H": "Signals after four hours.",
    "24H": "Signals after a day.",
    "7D": "Signals after a week.",
    "TRADE": "Executed trades, from entry to exit.",
}


def ship(apps, schema_editor):
    rules = apps.get_model("post_mortem", "LabelingRule")
    for horizon, notes in HORIZONS.items():
        rules.objects.get_or_create(
            desk=None, horizon=horizon, defaults={"neutral_band_r": 0.1, "notes": notes}
        )


class Migration(migrations.Migration):
    dependencies = [("post_mortem", "0001_initial")]

    operations = [migrations.RunPython(ship, migrations.RunPython.noop)]
