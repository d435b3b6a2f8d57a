"""A local S3 server for tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_server() -> Iterator[None]:
    """Runs a server with a bucket, whose name is `bucket`, and sets the variables by which it is found."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'sos_mm[s3]'")
    moto_server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    import s3fs

    patch = pytest.MonkeyPatch()
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in told.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().call_s3("create_bucket", Bucket="bucket")
    try:
        yield
    finally:
        server.stop()
        patch.undo()
        s3fs.S3FileSystem.clear_instance_cache()
