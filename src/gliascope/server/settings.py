"""Settings and limits of the server; each can be given as an environment variable GLIASCOPE_NAME."""

import ipaddress
from pathlib import Path
from typing import Any

from pydantic import DirectoryPath, Field, FilePath, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gliascope.errors import GliascopeError, first_error
from gliascope.runtime.executors import cores


class Settings(BaseSettings):
    """Settings of `gliascope serve`; docs/deploy.md lists them."""

    model_config = SettingsConfigDict(env_prefix="GLIASCOPE_", frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    keys: Path | None = Field(None, description="key file; required unless host is a loopback address")
    tls_cert: FilePath | None = Field(None, description="certificate chain (PEM) for TLS")
    tls_key: FilePath | None = Field(None, description="private key (PEM) for TLS")
    audit_log: Path | None = Field(None, description="file to which the audit log is appended")
    salt: SecretStr | None = Field(
        None,
        min_length=16,
        description="secret that study ids are hashed with; None: a new one at every start",
    )
    origins: str = Field("", description="origins that CORS allows, separated by commas; none by default")
    proxies: str = Field("", description="addresses or networks of trusted proxies, separated by commas")
    rate: str = Field("6000/minute", description="most requests of a key, or without keys of an address")
    temporary: DirectoryPath | None = Field(
        None, description="folder for uploads and jobs; None: the system's"
    )

    upload_mb: PositiveInt = Field(512, description="MiB a request may send")
    upload_files: PositiveInt = Field(2_000, description="files a request may send, those in zips included")
    upload_seconds: PositiveFloat = Field(600, description="time to receive a request's files in")
    zip_mb: PositiveInt = Field(2_048, description="MiB that zips of a request may unpack to")
    zip_ratio: PositiveFloat = Field(200, description="largest ratio of a zip's unpacked size to its size")
    frames: PositiveInt = Field(4_096, description="slices one file may hold")

    workers: PositiveInt = Field(default_factory=cores, description="processes that decode files")
    decode_seconds: PositiveFloat = Field(60, description="time to decode one file in")
    decode_mb: PositiveInt = Field(4_096, description="MiB of memory a decoding process may take")
    decode_recycle: PositiveInt = Field(500, description="files after which a decoding process is replaced")

    queue_slices: PositiveInt = Field(
        1_024, description="slices of requests admitted at one time, without those of jobs"
    )
    batch_slices: PositiveInt = Field(16, description="most slices in one run of the graph")
    request_seconds: PositiveFloat = Field(60, description="time to answer in once files are received")

    jobs_running: PositiveInt = Field(2, description="jobs that run at a time")
    jobs_waiting: PositiveInt = Field(16, description="jobs queued or running, all keys together")
    jobs_kept: PositiveInt = Field(20, description="finished jobs kept for each key")
    jobs_minutes: PositiveFloat = Field(60, description="how long a finished job is kept")
    jobs_mb: PositiveInt = Field(8_192, description="MiB on disk that jobs may take")
    job_slices: PositiveInt = Field(20_000, description="slices a job may have")
    job_seconds: PositiveFloat = Field(3_600, description="time a job may run for")

    shutdown_seconds: PositiveFloat = Field(60, description="time to finish accepted work in at SIGTERM")

    @property
    def allowed_origins(self) -> list[str]:
        """The origins as a list."""
        return [origin.strip() for origin in self.origins.split(",") if origin.strip()]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check(self) -> None:
        """Raise GliascopeError if settings that are valid by themselves do not go together."""
        if not self.is_loopback and self.keys is None:
            raise GliascopeError(
                f"host {self.host}: others could reach the server, and so it needs API keys; "
                "make some with `gliascope keys add NAME --file keys.json` and give --keys keys.json"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise GliascopeError("TLS needs both, --tls-cert and --tls-key")


def load_settings(**given: Any) -> Settings:
    """Load settings from the environment.

    Parameters
    ----------
    **given
        Settings that take precedence over the environment, unless they are None.

    Raises
    ------
    GliascopeError
        If a value is invalid, or values do not go together.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise GliascopeError(
            f"setting {first_error(error)}; see GLIASCOPE_* in the environment and the options"
        ) from None
    settings.check()
    return settings
