"""Models to compile ahead of the chapters on prices."""

from helpers.prices.load import load_price_panel
from helpers.prices.model import elasticity_model, prepare_prices
from helpers.prices.simulate import simulate_source_market

MODELS = {
    "elasticities": lambda: elasticity_model(
        prepare_prices(load_price_panel(simulate_source_market().data))
    ),
}
