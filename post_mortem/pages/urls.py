from django.urls import path

from . import (
    attribution,
    audit_page,
    dashboard,
    imports,
    recommendations,
    replay,
    reviews,
    rules,
    session,
    trade_page,
    trades,
)

app_name = "pages"

urlpatterns = [
    path("", dashboard.show_dashboard, name="dashboard"),
    path("trades/", trades.show_trades, name="trades"),
    path("trades/judge/", trades.judge, name="trades-judge"),
    path("trades/export.csv", trades.export, name="trades-export"),
    path("trades/<int:trade_id>/", trade_page.show_trade, name="trade"),
    path("trades/<int:trade_id>/replay/", replay.show_replay, name="trade-replay"),
    path("trades/<int:trade_id>/replay/bars/", replay.bars, name="trade-replay-bars"),
    path("trades/<int:trade_id>/reviewed/", trade_page.reviewed, name="trade-reviewed"),
    path("trades/<int:trade_id>/journal/", trade_page.journal, name="trade-journal"),
    path("audits/<int:audit_id>/", audit_page.show_audit, name="audit"),
    path("audits/rerun/", audit_page.rerun_stale, name="audits-rerun"),
    path("audits/<int:audit_id>/rerun/", audit_page.rerun, name="audit-rerun"),
    path("audits/review/", reviews.show_queue, name="review-queue"),
    path("audits/<int:audit_id>/review/", reviews.change, name="audit-review"),
    path("audits/<int:audit_id>/named/", reviews.name_cause, name="audit-named"),
    path("audits/<int:audit_id>/verify/", audit_page.verify, name="audit-verify"),
    path("audits/<int:audit_id>/causes/<slug:cause>/", audit_page.review, name="cause-review"),
    path("attribution/", attribution.show_attribution, name="attribution"),
    path("recommendations/", recommendations.show_board, name="recommendations"),
    path("recommendations/<int:pk>/state/", recommendations.state, name="recommendation-state"),
    path("rules/", rules.show_rules, name="rules"),
    path("rules/<int:rule_id>/remove/", rules.remove, name="rule-remove"),
    path("rules/changes/<int:change_id>/undo/", rules.undo, name="rule-undo"),
    path("import/", imports.show_import, name="import"),
    path("import/<int:batch_id>/undo/", imports.undo, name="import-undo"),
    path("demo/remove/", imports.remove_demo_desk, name="demo-remove"),
    path("sign-in/", session.SignIn.as_view(), name="sign-in"),
    path("sign-out/", session.sign_out, name="sign-out"),
]
