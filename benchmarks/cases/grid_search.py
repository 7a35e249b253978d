"""scikit-learn's ``GridSearchCV`` on the digits, through joblib: whose processes run the fits.

No limit is set: nearly all of the time is scikit-learn's own. The row shows what the backend costs beside loky. Workers are
warm from the first run.
"""

from ..case import Case

CASE = Case(
    name="grid_search",
    title="GridSearchCV on digits through joblib",
    limits=(),
    full={"samples": 1_797, "C": [0.1, 1.0, 10.0, 100.0], "gamma": [1e-4, 3e-4, 1e-3, 3e-3], "cv": 5},
    quick={"samples": 100, "C": [1.0, 10.0], "gamma": [1e-3], "cv": 2},
    group="Functions and bags",
    # The best parameters and the scores of all.
    summary=lambda search: [
        search.best_params_["C"],
        search.best_params_["gamma"],
        *search.cv_results_["mean_test_score"],
    ],
)


def searching(backend, p):
    """The search on all cores with a backend of joblib, or on one with none."""
    import contextlib

    import joblib
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    images, digits = load_digits(return_X_y=True)
    images, digits = images[: p["samples"]], digits[: p["samples"]]
    grid = {"C": p["C"], "gamma": p["gamma"]}

    def run():
        chosen = joblib.parallel_config(backend, n_jobs=-1) if backend else contextlib.nullcontext()
        with chosen:
            return GridSearchCV(SVC(), grid, cv=p["cv"]).fit(images, digits)

    return run


@CASE.variant("pantile")
def _pantile(p):
    import pantile.joblib

    pantile.joblib.register()
    return searching("pantile", p)


@CASE.variant("loky")
def _loky(p):
    return searching("loky", p)


@CASE.variant("python")
def _python(p):
    return searching(None, p)
