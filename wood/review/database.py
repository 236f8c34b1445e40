"""FiftyOne with its database: chosen before the import, started within bounds, no telemetry.

FiftyOne attaches to any database service of its own that runs on the machine, whatever folder that
one serves. A review therefore starts its own, which no other program attaches to, and asks it for
its folder before anything is written.
"""

import contextlib
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wood.runtime.errors import InputError

if TYPE_CHECKING:
    from fiftyone.core.service import DatabaseService

START_SECONDS = 90
ANSWER_SECONDS = 5
RELEASE_SECONDS = 20  # that a killed review's database takes to end
DATABASE_KEEPER = "--51-service"
OUR_DATABASE = "FIFTYONE_DATABASE_DIR"
OTHER_DATABASE = "FIFTYONE_DATABASE_URI"
OUR_PORT = "FIFTYONE_PRIVATE_DATABASE_PORT"


def use_database(database_folder: str | Path, plugin_folder: str | Path) -> None:
    """Set what FiftyOne reads when it is imported, here and in the processes started after this."""
    os.environ[OUR_DATABASE] = str(Path(database_folder).absolute())
    os.environ.pop(OUR_PORT, None)
    os.environ["FIFTYONE_PLUGINS_DIR"] = str(Path(plugin_folder).absolute())
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    # MongoDB 6.0 works and is checked; FiftyOne would print a deprecation at every start.
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"


def start_fiftyone(database_folder: str | Path) -> None:
    """Import FiftyOne and connect it to a running database, after `use_database`.

    The database is the one that FIFTYONE_DATABASE_URI (or FiftyOne's own configuration) names, else
    a MongoDB of our own in `database_folder`, which is proven to be the one that serves that
    folder. FiftyOne reads all this when it is imported, so nothing may have imported it before.

    Raises:
        InputError: FiftyOne is not installed, or the database does not answer, does not start,
            serves another folder, or has a version that FiftyOne cannot use.
    """
    folder = Path(database_folder).absolute()
    try:
        import fiftyone
    except ImportError as error:
        raise InputError(
            f"The review needs FiftyOne, which cannot be imported ({error})."
        ) from None
    uri = fiftyone.config.database_uri
    if uri:
        check_answer(uri)
    else:
        _make_folder(folder)
        _wait_for_release(folder)
    _connect(folder, uri)
    if not uri and (served := _served_folder()) != folder.resolve():
        raise InputError(f"{folder}: the database that answers serves {served}, not this folder.")


def database_port() -> str:
    """Return the port of the database of our own, "" where the connected one is another."""
    return os.environ.get(OUR_PORT, "")


def is_own() -> bool:
    """Whether the connected database is a review's own, in its folder."""
    return bool(database_port())


@contextlib.contextmanager
def only_one(folder: str | Path, address: str) -> Iterator[None]:
    """Hold `folder` for one review at a time; `address` is where its page will be.

    Raises:
        InputError: another process holds it; the sentence says where its page is.
    """
    folder = Path(folder)
    _make_folder(folder)
    with (folder / "open").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise InputError(
                f"{folder}: this is open already, at {file.read().strip() or 'another place'}; "
                "use that page, or end that command first."
            ) from None
        file.truncate(0)
        file.write(address)
        file.flush()
        yield


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


def _wait_for_release(folder: Path) -> None:
    """Wait until the MongoDB of a review that was just killed has let its folder go."""
    end = time.monotonic() + RELEASE_SECONDS
    while time.monotonic() < end:
        try:
            with (folder / "mongod.lock").open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.25)
        except OSError:  # none there yet, or the database will say what is wrong with it
            return
        else:
            return


def _start_own() -> "DatabaseService":
    """Start MongoDB in OUR_DATABASE under FiftyOne's keeper, which ends it when this process ends.

    Without FiftyOne's mark for shared services: other programs do not find it.
    """
    from fiftyone.core.service import DatabaseService, Service

    class OwnDatabase(DatabaseService):
        service_name = "wood-review"

        @property
        def _service_args(self) -> list[str]:
            return [DATABASE_KEEPER, self.service_name]

        def start(self) -> None:
            Service.start(self)  # never attach to what runs already

        def _wait_for_child_port(self, port: int | None = None, timeout: int = 0) -> int:
            del timeout  # FiftyOne's own, which a busy machine exceeds
            return super()._wait_for_child_port(port, START_SECONDS)

    return OwnDatabase()


def _served_folder() -> Path:
    """Return the folder of the connected database, as it says itself."""
    from fiftyone.core.odm import get_db_conn

    options = get_db_conn().client.admin.command("getCmdLineOpts")
    return Path(options["parsed"]["storage"]["dbPath"]).resolve()


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
        from fiftyone.core.odm import database, get_db_conn

        try:
            if not uri:
                database._db_service = _start_own()
                os.environ[OUR_PORT] = str(database._db_service.port)
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
