"""FiftyOne with its database: chosen before the import, started within bounds, no telemetry."""

import os
import re
import threading
from pathlib import Path
from types import ModuleType

from wood.errors import InputError

START_SECONDS = 90
ANSWER_SECONDS = 5
OUR_DATABASE = "FIFTYONE_DATABASE_DIR"
OTHER_DATABASE = "FIFTYONE_DATABASE_URI"


def start_fiftyone(database_folder: str | Path, plugin_folder: str | Path) -> ModuleType:
    """Import FiftyOne and connect it to a running database; return the module `fiftyone`.

    The database is the one that FIFTYONE_DATABASE_URI names, else a MongoDB of our own in
    `database_folder` (or in FIFTYONE_DATABASE_DIR, where that is set). FiftyOne reads all this
    when it is imported, so nothing may have imported it before.

    Raises:
        InputError: FiftyOne is not installed, or the database does not answer, does not start or
            has a version that FiftyOne cannot use.
    """
    folder = Path(os.environ.setdefault(OUR_DATABASE, str(Path(database_folder).absolute())))
    os.environ["FIFTYONE_PLUGINS_DIR"] = str(Path(plugin_folder).absolute())
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    # MongoDB 6.0 works and is checked below; FiftyOne would print a deprecation at every start.
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
    try:
        import fiftyone
    except ImportError as error:
        raise InputError(
            f"The review needs FiftyOne, which cannot be imported ({error})."
        ) from None
    if uri := os.environ.get(OTHER_DATABASE):
        _check_answer(uri)
    else:
        _make_folder(folder)
    _connect(folder, uri)
    return fiftyone


def database_answers() -> bool:
    """Whether the connected database still answers, asked with a short patience."""
    import pymongo
    from fiftyone.core.odm import get_db_conn
    from pymongo.errors import PyMongoError

    try:
        with pymongo.timeout(ANSWER_SECONDS):
            get_db_conn().command("ping")
    except PyMongoError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot hold the review's database ({error.strerror})."
        ) from None


def _check_answer(uri: str) -> None:
    import pymongo
    from fiftyone.constants import MONGODB_MIN_VERSION
    from packaging.version import Version
    from pymongo.errors import PyMongoError

    shown = re.sub(r"//[^@/]*@", "//", uri)
    try:
        client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=1000 * ANSWER_SECONDS)
        version = client.server_info()["version"]
    except PyMongoError:
        raise InputError(f"{OTHER_DATABASE}: no database answers at {shown}.") from None
    if Version(version) < MONGODB_MIN_VERSION:
        raise InputError(
            f"{OTHER_DATABASE}: MongoDB {version} answers at {shown}, and FiftyOne needs "
            f"{MONGODB_MIN_VERSION} or newer."
        )


def _connect(folder: Path, uri: str | None) -> None:
    """Connect in a thread, so that a database that dies at its start is noticed at once."""
    failure: list[BaseException] = []

    def connect() -> None:
        from fiftyone.core.odm import get_db_conn

        try:
            get_db_conn()
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    started = False
    for _ in range(START_SECONDS * 4):
        thread.join(0.25)
        if not thread.is_alive():
            break
        running = _own_database_runs()
        if started and not running:
            raise InputError(_no_start(folder, "it stopped"))
        started = started or running
    else:
        raise InputError(_no_start(folder, f"no answer within {START_SECONDS} s"))
    if failure:
        reason = str(failure[0]).splitlines()[0] if str(failure[0]) else type(failure[0]).__name__
        where = OTHER_DATABASE if uri else str(folder)
        raise InputError(f"{where}: FiftyOne cannot use this database ({reason}).") from failure[0]


def _own_database_runs() -> bool:
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            if child.name().startswith("mongod") and child.status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.Error:
            continue
    return False


def _no_start(folder: Path, what: str) -> str:
    """Say why mongod did not start, in its own last words where it left any."""
    log = folder / "log" / "mongo.log"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if re.search(r'"s":"[EF]"', line)]
    said = re.search(r'"(?:error|msg)":"((?:[^"\\]|\\.)*)"', errors[-1]) if errors else None
    reason = f", saying: {said[1][:200]}" if said else ""
    return f"{folder}: the review's database did not start ({what}{reason}); its log is {log}."
