from django.urls import path

from trading.api import imports, signals, trades

urlpatterns = [
    path("signals/", signals.SignalList.as_view(), name="api-signals"),
    path("trades/", trades.TradeList.as_view(), name="api-trades"),
    path("trades/import/", imports.TradesImport.as_view(), name="api-trades-import"),
    path("candles/import/", imports.CandlesImport.as_view(), name="api-candles-import"),
    path("news/import/", imports.NewsImport.as_view(), name="api-news-import"),
]
