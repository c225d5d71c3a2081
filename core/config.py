"""The settings: read once at an entry point by `load_settings`, then passed down as values.

Order of precedence: environment (`FOURFOLD_*`), then `settings.toml` in the data folder, then the defaults here.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import SettingError
from core.language import Bilingual
from core.paths import HomePaths

PREFIX = "FOURFOLD_"


class Settings(BaseSettings):
    """Every setting, with its default. Names in the environment carry the prefix `FOURFOLD_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("fourfold", appauthor=False)))
    language: Literal["auto", "en", "zh"] = "auto"
    offline: bool = True

    model: str = Field("", description="path of a GGUF or name in the catalogue; empty: the embedded SmolLM2-135M")
    encoder: str = Field(
        "", description="folder or name of a sentence-transformers model, or a server's http://…/v1; empty: embedded"
    )
    encoder_api_key: str = Field("", repr=False)
    encoder_profile: Literal["accurate", "instant"] = Field(
        "accurate", description="instant: a static encoder distilled from it, for new collections; faster, weaker"
    )
    n_ctx: int = Field(4096, ge=256, le=1_048_576, description="context window in tokens")
    n_gpu_layers: int = Field(-1, ge=-1, description="layers on the GPU; -1: all that fit")
    n_threads: int = Field(0, ge=0, le=512, description="threads of the model; 0: chosen for the machine")
    idle_minutes: float = Field(30.0, ge=0.0, description="the model's memory is given back after so long; 0: never")
    weigh_answers: bool = Field(
        True, description="find out after each answer what it stands on, while nothing else runs"
    )
    stored_passages: bool = Field(
        False,
        description="put passages that were read before together instead of reading them again: faster, less exact",
    )
    queue_size: int = Field(16, ge=1, le=4096, description="requests that may wait for the model")
    max_tokens: int = Field(512, ge=1, le=131_072, description="longest answer in tokens")
    temperature: float = Field(0.0, ge=0.0, le=5.0)
    repeat_penalty: float = Field(1.1, ge=1.0, le=2.0, description="how much repetition is held back in prompt mode")
    seed: int = Field(42, ge=0, le=2**32 - 1)
    hub: Literal["huggingface", "modelscope"] = Field("huggingface", description="where models are downloaded from")
    remote_url: str = Field("", description="OpenAI-compatible endpoint used in place of the in-process model")
    remote_model: str = ""
    remote_api_key: str = Field("", repr=False)

    top_k: int = Field(5, ge=1, le=100, description="passages put before the model")
    candidates: int = Field(50, ge=1, le=1000, description="passages that each leg of the search brings")
    index_memory: Literal["auto", "full", "compact"] = Field(
        "auto", description="index of many vectors: full (a graph), compact (lists of bits), or by their number"
    )
    reranker: str = Field("", description="cross-encoder that looks again at the best passages; empty: none")
    chunk_tokens: int = Field(190, ge=32, le=4096, description="longest passage in the encoder's tokens")
    chunk_overlap: int = Field(24, ge=0, le=1024, description="tokens shared by neighbouring passages")

    index_url: str = Field(
        "", repr=False, description="server that keeps moved indexes, postgresql://… or milvus://…; empty: none"
    )

    active_tools: tuple[str, ...] = Field((), description="tools that may be called; empty: all that are known")
    community_tools: tuple[str, ...] = Field(
        (), description="LangChain tools by import path, `package.module:name` or `...:name=read`"
    )
    mcp_servers: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="MCP servers: {name: {command, args} or {url}}, with an optional `risk`"
    )
    tool_seconds: float = Field(20.0, gt=0, le=3600, description="longest run of one tool")
    tool_memory_mb: int = Field(512, ge=64, le=65_536, description="memory that a user's tool may take")
    tool_steps: int = Field(5, ge=1, le=50, description="rounds of tool calls in one answer")

    host: str = "127.0.0.1"
    port: int = Field(8501, ge=1, le=65535)
    api_port: int = Field(8765, ge=1, le=65535)
    api_token: str = Field("", repr=False, description="API key of the HTTP API; empty: a new one at each start")

    database_url: str = Field(
        "", repr=False, description="server that keeps conversations, postgresql://…; empty: here"
    )
    login: Literal["none", "proxy", "oidc"] = Field(
        "none", description="who is served: none, whoever reaches it; proxy, whom the proxy names; oidc, who signs in"
    )
    login_header: str = Field("", description="header in which the proxy names the person, as X-Forwarded-User")
    login_secret: str = Field("", repr=False, description="what the proxy proves itself with, in X-Fourfold-Secret")
    login_proxies: tuple[str, ...] = Field((), description="addresses or networks that the proxy connects from")
    public_url: str = Field("", description="address under which people reach the proxy, https://chat.example.org")
    shared_tools: bool = Field(False, description="people who log in may use user tools and MCP servers too")
    shared_home: Path | None = Field(
        None, description="data folder of the server whose models a person uses; set for the folders of people"
    )

    eval_data: Path = Path("../shared/data")

    @property
    def paths(self) -> HomePaths:
        """The places inside the data folder."""
        shared = self.shared_home.expanduser().absolute() if self.shared_home else None
        return HomePaths(self.home.expanduser().absolute(), shared)

    @property
    def owner(self) -> str:
        """Whose data these settings lead to, as a key: the name of a person's folder; "" for that of one person alone.

        Whatever is kept on a server for several people is kept under it.
        """
        return self.home.name if self.shared_home else ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the values given (which come from the file)."""
        return env_settings, init_settings


def load_settings(**overrides: Any) -> Settings:
    """Read the settings file and the environment. `overrides` (from a command line) win over both.

    Raises SettingError naming the setting that is wrong.
    """
    try:
        settings = Settings(**_read_file(Settings().paths.settings_file))
        return settings.model_copy(update=_checked(overrides)) if overrides else settings
    except ValidationError as error:
        raise SettingError(_describe(error)) from error


def changed(settings: Settings, **overrides: Any) -> Settings:
    """The same settings with some changed. Raises SettingError naming the one that is wrong."""
    try:
        return settings.model_copy(update=_checked(overrides))
    except ValidationError as error:
        raise SettingError(_describe(error)) from error


def _checked(overrides: dict[str, Any]) -> dict[str, Any]:
    """Validate the overrides by themselves: the environment must not win over a command line."""
    # The same fields, outside the order of sources of the settings.
    fields: dict[str, Any] = {
        name: (Settings.model_fields[name].annotation, Settings.model_fields[name]) for name in overrides
    }
    partial: type[BaseModel] = create_model("Overrides", **fields)
    return partial(**overrides).model_dump()


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(
            Bilingual(
                en=f"{path} is not valid TOML: {error}. Mend the line it names or delete the file.",
                zh=f"{path} 不是有效的 TOML：{error}。请改正所指的那一行，或删除该文件。",
            )
        ) from error


def _describe(error: ValidationError) -> Bilingual:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "?"
    variable = PREFIX + name.upper()
    return Bilingual(
        en=f"The setting {name} ({variable}) is wrong: {first['msg']}; it was {first.get('input')!r}.",
        zh=f"设置项 {name}（{variable}）有误：{first['msg']}；当前值为 {first.get('input')!r}。",
    )
