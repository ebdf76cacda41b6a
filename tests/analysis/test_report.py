"""The report in a real browser: what people see, point at and click."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from analysis import report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# No request of its own, and root may run it.
SWITCHES = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed (Debian and Ubuntu: apt-get install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=SWITCHES)
        yield running
        running.close()


@pytest.fixture(scope="module")
def written(write_sweep, ten_trials, epoch_record, gallery_record, tmp_path_factory):
    """The report of ten trials; unet-1 has a curve, and unet-4 failed for a hostile reason.

    Two winners are shown on one place.
    """
    trials = [
        trial if trial.error is None else replace(trial, error="<script>alert(1)</script> & more")
        for trial in ten_trials
    ]
    epochs = [
        epoch_record(architecture="unet", trial_id="unet-1", epoch=n, val_iou=n / 10)
        for n in range(1, 6)
    ]
    places = [
        gallery_record(architecture=name, trial_id=trial, image="f" * 64, **counts)
        for name, trial, counts in (
            ("unet", "unet-1", {"hit": 3, "missed": 1}),
            ("cnn", "cnn-3", {"hit": 0}),
        )
    ]
    folder = tmp_path_factory.mktemp("report")
    sweep = write_sweep(folder / "night", trials, epochs, gallery=places)
    assert report.main([sweep, "-o", str(folder / "report.html")]) == 0
    return folder / "report.html"


class Shown:
    """A page that was opened, and all that it complained of or asked the network for."""

    def __init__(self, browser, path: Path, query="", **context):
        self.page = browser.new_context(**context).new_page()
        self.complaints, self.requests = [], []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + query)
        self.page.wait_for_selector("html[data-ready=yes]")

    def _hear(self, message):
        # A browser without a GPU says so when WebGL is used.
        if message.type == "error" or (
            message.type == "warning" and "GL Driver" not in message.text
        ):
            self.complaints.append(message.text)

    def traces(self, chart):
        """Name and visibility of a chart's traces."""
        script = (
            f"document.querySelector('[data-chart={chart}]').data.map(t => [t.name, t.visible])"
        )
        return {name: visible is not False for name, visible in self.page.evaluate(script)}


@pytest.fixture(scope="module")
def opened(browser, written):
    return Shown(browser, written)


@pytest.fixture
def shown(opened):
    """The open page, put back to how it opens after each test."""
    yield opened
    opened.page.keyboard.press("Escape")
    opened.page.emulate_media(media="screen")
    for box in opened.page.locator("#filters input").all():
        box.check()


def test_it_loads_without_errors_or_network(shown, written):
    assert shown.complaints == []
    assert [url for url in shown.requests if not url.startswith(("data:", "blob:"))] == [
        written.as_uri()
    ]


def test_the_plots_are_drawn(shown):
    drawn = shown.page.evaluate(
        "[...document.querySelectorAll('#content .chart')]"
        ".map(p => [p.dataset.chart, p.querySelectorAll('svg.main-svg').length > 0])"
    )
    names = ("pareto", "curves", "importance-cnn", "parallel-cnn", "timeline")
    assert drawn == [[name, True] for name in names]


def test_the_headline_says_who_won_and_what_is_as_good(shown):
    headline = shown.page.locator("header").inner_text()
    assert "The best is unet-1 of night (unet): val_iou 0.850 for 100 device-seconds." in headline
    assert "As good within 0.01, but cheaper: unet-2 of night (unet), val_iou 0.842" in headline
    assert "The paper's own settings for unet reached 0.700 here." in headline
    assert "10 trials took 0.119 device-hours; 1 failed." in headline


def test_pointing_at_a_trial_shows_its_settings(shown):
    place = shown.page.evaluate(
        """() => {
            const chart = document.querySelector('[data-chart=pareto]');
            const trace = chart.data.findIndex((t) => t.name === 'unet');
            const point = chart.data[trace].customdata.indexOf('night/unet-1');
            chart.scrollIntoView();
            const box = chart.getBoundingClientRect(), layout = chart._fullLayout;
            return {
                x: box.left + layout.xaxis._offset + layout.xaxis.c2p(chart.data[trace].x[point]),
                y: box.top + layout.yaxis._offset + layout.yaxis.c2p(chart.data[trace].y[point]),
            };
        }"""
    )
    shown.page.mouse.move(place["x"] - 30, place["y"] + 30)
    shown.page.mouse.move(place["x"], place["y"], steps=5)
    hover = shown.page.locator("[data-chart=pareto] .hoverlayer")
    hover.get_by_text("width 1").wait_for()
    shown.page.mouse.click(place["x"], place["y"])
    shown.page.locator("#trial-heading").get_by_text("night/unet-1", exact=True).wait_for()
    shown.page.locator("#trial-curve svg.main-svg").first.wait_for()


def test_filters_hide_an_architecture_everywhere(shown):
    assert all(shown.traces("pareto").values())
    shown.page.get_by_label("cnn", exact=True).uncheck()
    visible = {name for name, is_visible in shown.traces("pareto").items() if is_visible}
    assert visible == {"unet", "unet, front"}
    assert not shown.page.locator("[data-chart=importance-cnn]").is_visible()
    rows = shown.page.locator("#costs tbody tr:visible")
    assert {row.split()[0] for row in rows.all_inner_texts()} == {"unet"}
    named = shown.page.locator("#tradeoff tbody tr:visible").all_inner_texts()
    assert {re.search(r"(cnn|unet)-", row)[1] for row in named} == {"unet"}
    shown.page.get_by_label("cnn", exact=True).check()
    assert all(shown.traces("pareto").values())


def test_filters_hide_trials_by_how_they_ended(shown):
    points = (
        "document.querySelector('[data-chart=timeline]').data"
        ".filter(t => t.type === 'bar')"
        ".flatMap(t => t.customdata.filter((_, n) => t.x[n] !== null))"
    )
    everything = set(shown.page.evaluate(points))
    shown.page.get_by_label("failed", exact=True).uncheck()
    assert everything - set(shown.page.evaluate(points)) == {"night/unet-4"}
    assert shown.page.locator("#failures tbody tr:visible").count() == 0
    assert shown.page.locator("#tradeoff tbody tr:visible").count() > 0
    shown.page.get_by_label("failed", exact=True).check()
    assert set(shown.page.evaluate(points)) == everything
    assert shown.complaints == []


def test_filters_hide_one_of_several_sweeps(browser, write_sweep, ten_trials, tmp_path):
    for name, cost in (("day", 1.0), ("night", 0.5)):
        trials = [
            replace(trial, sweep=name, device_seconds=cost * trial.device_seconds)
            for trial in ten_trials
        ]
        write_sweep(tmp_path / name, trials)
    path = tmp_path / "r.html"
    assert report.main([str(tmp_path), "-o", str(path)]) == 0
    shown = Shown(browser, path)
    points = (
        "[...new Set(document.querySelector('[data-chart=pareto]').data"
        ".filter(t => t.customdata)"
        ".flatMap(t => t.customdata.filter((_, n) => t.x[n] !== null).map(k => k.split('/')[0])))]"
    )
    assert sorted(shown.page.evaluate(points)) == ["day", "night"]
    front = shown.page.locator("#tradeoff tbody tr:visible")
    assert {row.split()[0] for row in front.all_inner_texts()} == {"night"}  # at half the price
    shown.page.get_by_label("night", exact=True).uncheck()
    assert shown.page.evaluate(points) == ["day"]
    assert front.count() == 0


def test_a_click_on_a_workers_bar_opens_its_trials_page(shown):
    place = shown.page.evaluate(
        """() => {
            const chart = document.querySelector('[data-chart=timeline]');
            chart.scrollIntoView();
            const box = chart.getBoundingClientRect(), layout = chart._fullLayout;
            const trace = chart.data.find((t) => t.name === 'unet' && t.type === 'bar');
            const point = trace.customdata.indexOf('night/unet-1');
            const middle = trace.base[point] + trace.x[point] / 2;
            return {
                x: box.left + layout.xaxis._offset + layout.xaxis.d2p(middle),
                y: box.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[point]),
            };
        }"""
    )
    shown.page.mouse.move(place["x"] - 5, place["y"])
    shown.page.mouse.move(place["x"], place["y"], steps=3)
    shown.page.locator("[data-chart=timeline] .hoverlayer").get_by_text("unet-1").first.wait_for()
    shown.page.mouse.click(place["x"], place["y"])
    shown.page.locator("#trial-heading").get_by_text("night/unet-1", exact=True).wait_for()


def test_the_gallery_shows_each_winner_on_the_same_places(shown):
    gallery = shown.page.locator("#gallery")
    assert gallery.locator("figcaption").all_inner_texts() == [
        "cnn, night: no nuclei",
        "unet, night: 3 hit, 1 missed",
    ]
    sizes = gallery.locator("img").evaluate_all("all => all.map(i => [i.naturalWidth, i.width])")
    assert [natural for natural, _ in sizes] == [30] * 4
    assert len({width for _, width in sizes}) == 1  # outlines lie on their picture
    shown.page.get_by_label("cnn", exact=True).uncheck()
    assert gallery.locator("figure:visible").count() == 1


def test_the_keyboard_alone_opens_and_closes_a_trials_page(shown):
    link = shown.page.get_by_role("link", name="unet-1").first
    link.focus()
    shown.page.keyboard.press("Enter")
    dialog = shown.page.get_by_role("dialog")
    dialog.wait_for()
    assert "setting: width" in dialog.inner_text()
    shown.page.keyboard.press("Escape")
    assert not shown.page.locator("#trial").is_visible()


def test_a_trials_page_has_an_address_of_its_own(browser, written):
    shown = Shown(browser, written, query="#trial=night%2Funet-4")
    assert "<script>alert(1)</script> & more" in shown.page.get_by_role("dialog").inner_text()


def test_going_back_closes_a_trials_page(shown):
    shown.page.get_by_role("link", name="unet-1").first.click()
    shown.page.get_by_role("dialog").wait_for()
    shown.page.go_back()
    shown.page.locator("#trial").wait_for(state="hidden")


def test_an_address_that_is_none_opens_nothing(browser, written):
    shown = Shown(browser, written, query="#trial=%")
    assert not shown.page.locator("#trial").is_visible()
    assert shown.complaints == []


def test_what_a_failure_said_is_shown_as_text(shown):
    failures = shown.page.locator("#failures")
    assert "<script>alert(1)</script> & more" in failures.inner_text()
    assert failures.locator("script").count() == 0


def test_it_follows_the_dark_scheme_and_its_change(browser, written):
    shown = Shown(browser, written, color_scheme="dark")
    ground = "document.querySelector('[data-chart=pareto]')._fullLayout.paper_bgcolor"
    assert shown.page.evaluate(ground) == "#16181c"
    shown.page.emulate_media(color_scheme="light")
    shown.page.wait_for_function(f"{ground} === '#ffffff'")


def test_nothing_is_wider_than_the_screen_also_when_that_changes(browser, written):
    shown = Shown(browser, written, viewport={"width": 360, "height": 800})
    for width in (360, 1600, 768):
        shown.page.set_viewport_size({"width": width, "height": 800})
        shown.page.wait_for_timeout(500)  # the plots follow
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_screen_readers_are_told_what_every_chart_shows(shown):
    charts = shown.page.locator("#content .chart")
    labels = [chart.get_attribute("aria-label") for chart in charts.all()]
    assert all(labels)
    assert shown.page.locator("html").get_attribute("lang") == "en"
    assert shown.page.locator("h1").count() == 1
    assert shown.page.locator("th:not([scope=col])").count() == 0


def test_it_prints_without_what_only_a_screen_needs(shown):
    shown.page.emulate_media(media="print")
    assert not shown.page.locator("#filters").is_visible()
    assert shown.page.locator("#tradeoff h2").is_visible()


def test_in_the_dark_its_charts_are_printed_black_on_white(browser, written):
    shown = Shown(browser, written, color_scheme="dark")
    ink = "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
    seen = shown.page.evaluate(ink)
    shown.page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {ink} }})")
    shown.page.pdf()

    assert shown.page.evaluate("window.printed") == "rgb(0, 0, 0)" != seen
    shown.page.wait_for_function(f"{ink} === '{seen}'")  # as before on the screen


def test_of_failed_trials_alone_it_says_so_and_shows_why(
    browser, sweep_folder, ten_trials, tmp_path
):
    path = tmp_path / "r.html"
    assert report.main([sweep_folder(ten_trials[-1:]), "-o", str(path)]) == 0
    shown = Shown(browser, path)
    assert "of 1 trials none was scored" in shown.page.locator("header").inner_text()
    assert "out of memory" in shown.page.locator("#failures").inner_text()
    assert shown.complaints == []


def test_without_prices_what_needs_none_is_drawn(
    browser, sweep_folder, ten_trials, epoch_record, tmp_path
):
    curve = [epoch_record(trial_id="unet-1", epoch=epoch) for epoch in (1, 2)]
    path = tmp_path / "r.html"
    folder = sweep_folder(ten_trials, curve)
    assert report.main([folder, "--cost", "usd", "-o", str(path)]) == 0
    shown = Shown(browser, path)
    assert "none was scored" in shown.page.locator("header").inner_text()
    for chart in ("curves", "importance-cnn"):
        assert shown.page.locator(f"[data-chart={chart}] .main-svg").count() > 0
    assert shown.complaints == []


def test_of_failed_trials_alone_their_curves_are_drawn(
    browser, sweep_folder, ten_trials, epoch_record, tmp_path
):
    path = tmp_path / "r.html"
    folder = sweep_folder(ten_trials[-1:], [epoch_record(trial_id="unet-4")])
    assert report.main([folder, "-o", str(path)]) == 0
    assert Shown(browser, path).page.locator("[data-chart=curves] .main-svg").count() > 0


def test_of_a_sweep_that_has_just_begun_it_shows_the_curves(
    browser, sweep_folder, epoch_record, tmp_path
):
    path = tmp_path / "r.html"
    assert report.main([sweep_folder(epochs=[epoch_record()]), "-o", str(path)]) == 0
    shown = Shown(browser, path)
    assert "No trial has ended yet." in shown.page.locator("header").inner_text()
    assert shown.page.locator("[data-chart=curves] svg.main-svg").count() > 0
    assert shown.complaints == []


def test_a_trial_that_still_runs_is_drawn_has_a_page_and_can_be_hidden(
    browser, sweep_folder, ten_trials, epoch_record, tmp_path
):
    heard = {"worker": "a:1", "ended_at": ten_trials[0].started_at}
    folder = sweep_folder(ten_trials, [epoch_record(trial_id="unet-9", val_iou=0.5, **heard)])
    assert report.main([folder, "-o", str(tmp_path / "r.html")]) == 0
    shown = Shown(browser, tmp_path / "r.html", "#trial=night%2Funet-9")
    assert "running" in shown.page.locator("#trial-facts").inner_text()
    shown.page.keyboard.press("Escape")
    drawn = (
        "['curves', 'timeline'].map(name => document.querySelector(`[data-chart=${name}]`).data"
        ".flatMap(t => (t.customdata ?? []).filter((_, n) => t.x[n] !== null))"
        ".includes('night/unet-9'))"
    )
    assert shown.page.evaluate(drawn) == [True, True]
    shown.page.get_by_label("running", exact=True).uncheck()
    assert shown.page.evaluate(drawn) == [False, False]
    assert shown.complaints == []


def test_repeats_and_mixed_devices_are_told(sweep_folder, trial_record, tmp_path):
    again = [
        trial_record(trial_id=f"unet-0-again-{n}", confirms="unet-0", val_iou=0.7, device="gpu")
        for n in range(3)
    ]
    folder = sweep_folder([trial_record(is_best=True), *again])
    assert report.main([folder, "-o", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text()
    assert "fresh seeds, its settings reached 0.700 (0.700 to 0.700; n = 3)." in text
    assert "These trials ran on different devices" in text


def test_trials_over_a_limit_have_a_page_too(sweep_folder, ten_trials, tmp_path):
    over = replace(ten_trials[1], over_limit="max_memory")
    folder = sweep_folder([ten_trials[0], over])
    assert report.main([folder, "-o", str(tmp_path / "r.html")]) == 0
    found = re.search(r'id="data">(.*?)</script>', (tmp_path / "r.html").read_text(), re.DOTALL)
    assert set(json.loads(found[1])["trials"]) == {"night/cnn-0", "night/unet-0"}


def test_one_trial_alone_makes_a_report(sweep_folder, ten_trials, tmp_path, capsys):
    path = tmp_path / "r.html"
    assert report.main([sweep_folder(ten_trials[1:2]), "-o", str(path)]) == 0
    assert re.search(r"r.html: 1 trials, \d\.\d MB", capsys.readouterr().out)


def test_another_kind_of_file_is_refused(sweep_folder, ten_trials, capsys):
    assert report.main([sweep_folder(ten_trials), "-o", "report.pdf"]) == 2
    assert "must name a file that ends in .html" in capsys.readouterr().err
    assert report.main([sweep_folder(ten_trials), "-o", "gs://bucket/report.html"]) == 2
    assert "local path or s3://" in capsys.readouterr().err


RUN = "window.hacked = true"
HOSTILE = (
    f"</script><script>{RUN}</script>",
    f"\"><img src=x onerror='{RUN}'>",
    f'<a href="javascript:{RUN}">{{{{ 7 * 7 }}}} %{{x}}</a>',
)


@pytest.fixture(params=HOSTILE, ids=["script", "attribute", "link"])
def hostile(request, ten_trials, epoch_record, gallery_record):
    """A text that means harm, and rows of a sweep that say it wherever they can."""
    text = request.param
    names = {"sweep": text, "architecture": f"unet{text}"}
    settings = json.dumps({text: text, "width": 1}, sort_keys=True, ensure_ascii=False)
    told = {"worker": text, "device": text, "dataset": text, "hyperparameters": settings}
    trials = [
        replace(trial, **names, **told, trial_id=f"{number}{text}", is_best=number == 1)
        for number, trial in enumerate(ten_trials[:-1])
    ]
    failed = replace(ten_trials[-1], **names, **told, trial_id=text, error=text)
    epoch = epoch_record(**names, trial_id=f"1{text}")
    place = gallery_record(**names, trial_id=f"1{text}", image=text, kind=text)
    return text, [*trials, failed], [epoch], [place]


def test_nothing_that_a_sweep_says_of_itself_runs(browser, sweep_folder, hostile, tmp_path):
    text, trials, epochs, places = hostile
    path = tmp_path / "r.html"
    assert report.main([sweep_folder(trials, epochs, gallery=places), "-o", str(path)]) == 0

    shown = Shown(browser, path)
    shown.page.get_by_role("link", name=text).first.click()
    assert text in shown.page.get_by_role("dialog").inner_text()
    assert "hacked" not in shown.page.evaluate("Object.keys(window)")
    assert shown.page.locator("script").count() == 3
    assert (
        shown.page.locator("[onerror], [href^='javascript'], [*|href^='javascript']").count() == 0
    )
    assert shown.complaints == []


def test_every_curve_and_every_name_in_a_table_has_a_page(
    sweep_folder, trial_record, epoch_record, tmp_path, monkeypatch
):
    monkeypatch.setattr("analysis.thinning.MOST_TRIALS", 20)
    monkeypatch.setattr("analysis.lanes.MOST_BARS", 5)
    names = [f"unet-{n}" for n in range(100)]
    trials = [trial_record(trial_id=name, val_iou=n / 200) for n, name in enumerate(names)]
    folder = sweep_folder(trials, [epoch_record(trial_id=name) for name in names])
    assert report.main([folder, "-o", str(tmp_path / "r.html")]) == 0
    found = re.search(r'id="data">(.*?)</script>', (tmp_path / "r.html").read_text(), re.DOTALL)
    data = json.loads(found[1])
    assert len(data["curves"]) > 20
    assert set(data["curves"]) <= set(data["trials"])
