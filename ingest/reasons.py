"""Why a file could not be read, or not wholly: every such sentence, in both languages, with its remedy."""

from core.errors import (
    DocumentDamagedError,
    DocumentEmptyError,
    DocumentEncryptedError,
    DocumentError,
    DocumentTooLargeError,
    UnsupportedFormatError,
)
from core.language import Bilingual


def encrypted(name: str, wrong_password: bool = False) -> DocumentEncryptedError:
    """The file wants a password, or another one than was given."""
    if wrong_password:
        en, zh = "the password given does not open it", "所给的密码无法打开它"
    else:
        en, zh = "encrypted; give its password or save it without one", "已加密；请提供密码，或另存为无密码的文件"
    return DocumentEncryptedError(Bilingual(en=f"{name}: {en}.", zh=f"{name}：{zh}。"))


def damaged(name: str, detail: str = "") -> DocumentDamagedError:
    """The file is broken; `detail` is what the parser said, shortened."""
    tail = f" ({_short(detail)})" if detail else ""
    return DocumentDamagedError(
        Bilingual(
            en=f"{name}: the file is damaged or not what its name says{tail}. "
            "Open it in its program and save it again.",
            zh=f"{name}：文件已损坏，或内容与扩展名不符{tail}。请用原来的程序打开并重新保存。",
        )
    )


def unreadable(name: str, detail: str) -> DocumentError:
    """The system does not let the file be read; `detail` is what it says."""
    return DocumentError(
        Bilingual(
            en=f"{name}: the system does not let it be read ({_short(detail)}). Check that it is there and that you "
            "may read it, then ingest it again.",
            zh=f"{name}：系统不允许读取该文件（{_short(detail)}）。请确认文件存在且有读取权限，然后重新导入。",
        )
    )


def empty(name: str) -> DocumentEmptyError:
    """The file is sound but holds no text."""
    return DocumentEmptyError(
        Bilingual(
            en=f"{name}: the file holds no text; there is nothing to search.", zh=f"{name}：文件中没有文字，无可检索。"
        )
    )


def scanned(name: str, remedy: Bilingual) -> DocumentEmptyError:
    """Only pictures of text; `remedy` tells what would read them."""
    return DocumentEmptyError(
        Bilingual(
            en=f"{name}: it holds only pictures, no text. {remedy.en}",
            zh=f"{name}：文件只有图像，没有文字。{remedy.zh}",
        )
    )


def nothing_read(name: str, why: Bilingual) -> DocumentEmptyError:
    """All that is in the file could not be read; `why` is the first reason found inside."""
    return DocumentEmptyError(
        Bilingual(en=f"{name}: nothing in it could be read. {why.en}", zh=f"{name}：其中内容均未能读取。{why.zh}")
    )


def too_large(name: str, what: Bilingual) -> DocumentTooLargeError:
    """A limit of size, count, time or memory was exceeded; `what` names it."""
    return DocumentTooLargeError(
        Bilingual(
            en=f"{name}: {what.en}. Split the file into smaller ones.", zh=f"{name}：{what.zh}。请把文件拆小后再试。"
        )
    )


def unsupported(name: str, kind: str, remedy: Bilingual | None = None) -> UnsupportedFormatError:
    """No loader reads this kind of file."""
    advice = remedy or Bilingual(en="Save it as PDF, DOCX, HTML or text.", zh="请另存为 PDF、DOCX、HTML 或文本文件。")
    return UnsupportedFormatError(
        Bilingual(en=f"{name}: {kind} files are not read. {advice.en}", zh=f"{name}：不支持 {kind} 文件。{advice.zh}")
    )


def crashed(name: str) -> DocumentError:
    """The parser's process died on the file."""
    return DocumentDamagedError(
        Bilingual(
            en=f"{name}: the parser crashed on it, so the file is damaged or made to harm. It was left out.",
            zh=f"{name}：解析程序在此文件上崩溃，文件可能已损坏或带有恶意，已跳过。",
        )
    )


OUT_OF_TIME = Bilingual(en="reading it took longer than the limit", zh="读取时间超过上限")
OUT_OF_MEMORY = Bilingual(en="reading it took more memory than the limit", zh="读取所需内存超过上限")
TOO_MANY_BYTES = Bilingual(en="it is larger than the limit", zh="文件大小超过上限")
UNPACKS_TOO_LARGE = Bilingual(
    en="it unpacks to more than the limits on archives allow", zh="解压后的大小或数量超过压缩包的上限"
)

INSTALL_TESSERACT = Bilingual(
    en="Install Tesseract with the languages eng and chi_sim (Debian: apt install tesseract-ocr tesseract-ocr-chi-sim; "
    "macOS: brew install tesseract tesseract-lang) and ingest it again.",
    zh="请安装 Tesseract 及语言包 eng 与 chi_sim（Debian：apt install tesseract-ocr tesseract-ocr-chi-sim；"
    "macOS：brew install tesseract tesseract-lang），然后重新导入。",
)
RECOGNITION_TOO_SLOW = Bilingual(
    en="Text recognition ran out of time. Try the file again when the machine is less busy, or split it.",
    zh="文字识别超时。请在机器较空闲时重试，或把文件拆小。",
)
INSTALL_FOR_PACKED = {
    "7z": Bilingual(
        en="Install the optional package that reads them (pip install 'fourfold[archives]') and ingest it again, or "
        "unpack it and ingest the folder.",
        zh="请安装读取它的可选组件（pip install 'fourfold[archives]'）后重新导入，或解压后导入所得的文件夹。",
    ),
    "RAR": Bilingual(
        en="Install bsdtar (Debian: apt install libarchive-tools; macOS has it) and ingest it again, or unpack it and "
        "ingest the folder.",
        zh="请安装 bsdtar（Debian：apt install libarchive-tools；macOS 自带）后重新导入，或解压后导入所得的文件夹。",
    ),
}
UNREADABLE_PICTURE = Bilingual(
    en="Text recognition found nothing legible in them.", zh="文字识别未能从中读出可辨认的文字。"
)


def _short(detail: str) -> str:
    line = " ".join(detail.split()).rstrip(".")
    return line if len(line) <= 100 else line[:97] + "..."
