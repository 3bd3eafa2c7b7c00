"""Patterns are found again under their key, worded, and drafted into plans."""

import django.db.models.deletion
from django.db import migrations, models


def give_keys(apps, schema_editor):
    """Rows from before patterns had keys stay apart."""
    for name in ("AnalysisPattern", "ImprovementPlan"):
        model = apps.get_model("post_mortem", name)
        for row in model.objects.filter(key=""):
            row.key = f"row {row.pk}"
            row.save(update_fields=["key"])


class Migration(migrations.Migration):

    dependencies = [
        ('post_mortem', '0011_tracked_changes'),
        ('trading', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='PatternSearch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period', models.CharField(blank=True, max_length=24)),
                ('min_trades', models.PositiveIntegerField()),
                ('n_closed', models.PositiveIntegerField(help_text='Closed trades of the period, judged or not')),
                ('n', models.PositiveIntegerField(help_text='Those whose outcome is known')),
                ('tried', models.PositiveIntegerField()),
                ('found', models.PositiveIntegerField()),
                ('data_hash', models.CharField(max_length=64)),
                ('searched_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='evidence_hash',
            field=models.CharField(blank=True, help_text='sha256 of statistics', max_length=64),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='found_at',
            field=models.DateTimeField(help_text='When it was last found', null=True),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='grounding',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='key',
            field=models.CharField(blank=True, help_text='sha256 of its cells or its cause', max_length=64),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='lost_at',
            field=models.DateTimeField(blank=True, help_text='No longer found since', null=True),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='period',
            field=models.CharField(blank=True, help_text='As asked for; empty: all', max_length=24),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='slot_data',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='source',
            field=models.CharField(choices=[('template', 'built-in narrator'), ('llm', 'language model'), ('llm_repaired', 'language model, repaired'), ('llm_pruned', 'language model, sentences removed')], default='template', max_length=12),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='source_reason',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='title',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='analysispattern',
            name='words',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='evidence',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='grounding',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='key',
            field=models.CharField(blank=True, help_text='sha256 of what it was drafted from', max_length=64),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='slot_data',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='source',
            field=models.CharField(choices=[('template', 'built-in narrator'), ('llm', 'language model'), ('llm_repaired', 'language model, repaired'), ('llm_pruned', 'language model, sentences removed')], default='template', max_length=12),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='source_reason',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='improvementplan',
            name='summary',
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name='analysispattern',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='patterns', to='trading.account'),
        ),
        migrations.AlterField(
            model_name='analysispattern',
            name='pattern_type',
            field=models.CharField(choices=[('leak', 'leak'), ('edge', 'edge'), ('cause', 'cause')], max_length=100),
        ),
        migrations.RunPython(give_keys, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='analysispattern',
            constraint=models.UniqueConstraint(fields=('account', 'period', 'key'), name='pattern_once'),
        ),
        migrations.AddConstraint(
            model_name='improvementplan',
            constraint=models.UniqueConstraint(fields=('account', 'key'), name='plan_once'),
        ),
        migrations.AddField(
            model_name='patternsearch',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='pattern_searches', to='trading.account'),
        ),
        migrations.AddConstraint(
            model_name='patternsearch',
            constraint=models.UniqueConstraint(fields=('account', 'period'), name='pattern_search_once'),
        ),
    ]
