"""Package of the fairseq plugin; the README says how to install fairseq where no wheel of it fits."""
from pathlib import Path

from setuptools import find_packages, setup

# The only wheels of fairseq that import on Python >= 3.11; elsewhere fairseq is the user's to install.
FAIRSEQ_WHEEL = "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"
PLOTS = ["matplotlib>=3.8,<4"]  # for scripts/plot_*.py

# What fairseq's `--tokenizer moses` and `--bpe subword_nmt` call, for checkpoints of NVIDIA's GNMT.
NVIDIA = ["sacremoses>=0.1,<0.3", "subword-nmt>=0.3.8,<0.4"]

setup(
    name="fairseq-gnmt",
    version="0.1.0",
    description="GNMT for fairseq: residual LSTM translation with coverage-penalty beam search",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["fairseq_gnmt", "fairseq_gnmt.*", "gnmt", "gnmt.*"]),
    package_data={"fairseq_gnmt": ["config/*.yaml", "config/*/*.yaml"]},
    install_requires=[
        f"ve-fairseq==0.12.3; {FAIRSEQ_WHEEL}",
        "torch>=2.6,<2.14",
        "hydra-core>=1.3.2,<1.4",
        "regex>=2024.4.16",
        "safetensors>=0.5,<1",
        "sacrebleu>=2.4,<3",
        "sentencepiece>=0.2,<0.3",
        "tqdm>=4.60",
        "zstandard>=0.22,<1",
    ],
    extras_require={"nvidia": NVIDIA, "plots": PLOTS, "dev": ["pytest>=8", *NVIDIA, *PLOTS]},
)
