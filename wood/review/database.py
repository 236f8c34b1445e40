"""FiftyOne with its database: chosen before the import, started within bounds, no telemetry."""

import contextlib
import json
import os
import re
import threading
from pathlib import Path

from wood.runtime.errors import InputError

START_SECONDS = 90
ANSWER_SECONDS = 5
DATABASE_KEEPER = "--51-service"
OUR_DATABASE = "FIFTYONE_DATABASE_DIR"
OTHER_DATABASE = "FIFTYONE_DATABASE_URI"


def start_fiftyone(database_folder: str | Path, plugin_folder: str | Path) -> None:
    """Import FiftyOne and connect it to a running database.

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
        import fiftyone  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"The review needs FiftyOne, which cannot be imported ({error})."
        ) from None
    if uri := os.environ.get(OTHER_DATABASE):
        check_answer(uri)
    else:
        _make_folder(folder)
    _connect(folder, uri)


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


def disconnect() -> None:
    """Close the connection: FiftyOne's clean-up at exit would wait minutes for a dead database."""
    import pymongo
    from fiftyone.core.odm import get_db_conn
    from pymongo.errors import PyMongoError

    with contextlib.suppress(PyMongoError), pymongo.timeout(1):
        get_db_conn().client.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot hold the review's database ({error.strerror})."
        ) from None


def check_answer(uri: str) -> None:
    """Refuse the database at `uri` if it does not answer or FiftyOne cannot use its version.

    Raises:
        InputError: so it is; the sentence leaves out the password.
    """
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
    """Whether FiftyOne's keeper of a database of our own runs; it ends with its mongod."""
    import psutil

    for child in psutil.Process().children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE and DATABASE_KEEPER in child.cmdline():
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
    errors = [line for line in lines if re.search(r'"s":\s*"[EF]"', line)]
    reason = f", saying: {_words(errors[-1])[:200]}" if errors else ""
    return f"{folder}: the review's database did not start ({what}{reason}); its log is {log}."


def _words(line: str) -> str:
    """The error or the message of one line of MongoDB's JSON log."""
    try:
        entry = json.loads(line)
        return str(entry.get("attr", {}).get("error", entry["msg"]))
    except (ValueError, KeyError, AttributeError):
        return line
