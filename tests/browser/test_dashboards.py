"""A grid's result in Optuna's dashboard, in Chromium."""

import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import optuna
import pytest
from results.made import made

pytestmark = pytest.mark.browser


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    """Serve the dashboard of a grid with two rates and three widths."""
    import optuna_dashboard

    storage = optuna.storages.InMemoryStorage()
    scores = np.array([0.5, 0.2, 0.9, 0.4, 0.3, 0.6])[:, None, None] + [[0.0], [0.02]]
    columns = {"learning_rate": [0.01, 0.1] * 3, "width": np.repeat([16, 32, 64], 2).tolist()}
    made(scores, columns).to_study(storage, study_name="a grid")
    server = make_server("127.0.0.1", 0, optuna_dashboard.wsgi(storage), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dashboard"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.filterwarnings("ignore")  # of the dashboard's own code
def test_optuna_s_dashboard_shows_a_grid(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(20_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    page.get_by_text("a grid").first.click()
    page.get_by_text("Best Trial (number=1)").wait_for()
    text = page.locator("body").inner_text()
    assert "0.21" in text  # the mean over two seeds
    assert "learning_rate: 0.1, width: 16" in text
    page.get_by_text("Hyperparameter Importance").first.wait_for()
    assert not wrong
    page.close()
