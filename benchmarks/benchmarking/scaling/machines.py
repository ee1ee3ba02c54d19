"""Rates of machines from specifications, some fitted to published training runs, and the examples of the documentation."""

from benchmarking.scaling.costs import Batch, Cluster, Device, Link, Network

# Large recurrent networks reach half of the peak of products; 80% of the peak of the memory.
A100 = Device(
    name="A100",
    product_rate=156e12,
    memory_rate=1.24e12,
    step_seconds=39e-6,
    call_seconds=50e-6,
    number_bytes=2,
    memory=40e9,
    source="NVIDIA A100 datasheet: 312 TFLOP/s in float16, 1,555 GB/s, 40 GB; the step is fitted to 141,000 tokens/s of "
    "NVIDIA's GNMT v2 on one A100 (DeepLearningExamples, float16, batch 128)",
)
NVLINK3 = Link("NVLink 3", rate=300e9 * 0.8, latency=8e-6,
               source="NVIDIA A100 datasheet: 600 GB/s, both directions together; 80% of it, latency of NCCL as measured by "
               "others (about 15 us for a sum over two GPUs)")  # fmt: skip
HDR = Link("InfiniBand HDR", rate=25e9 * 0.9, latency=15e-6,
           source="DGX A100 datasheet: 8 ports of 200 Gb/s, one for each GPU; 90% of it, latency assumed")  # fmt: skip
PCIE4 = Link("PCI Express 4 x16", rate=25e9, latency=20e-6, source="PCI-SIG: 31.5 GB/s; 80% of it, latency assumed")
# Two AMD EPYC 7742 have 2 x 204.8 GB/s; 70% of it. The spread is fitted to 822,000 tokens/s of NVIDIA's GNMT v2 on 8 A100.
DGX_A100 = Cluster(A100, 8, NVLINK3, HDR, PCIE4, host_memory_rate=287e9, spread=0.22)

K80 = Device(
    name="K80 (one of its two GPUs)",
    product_rate=2.2e12,
    memory_rate=0.19e12,
    step_seconds=100e-6,
    call_seconds=100e-6,
    number_bytes=4,
    memory=12e9,
    source="NVIDIA Tesla K80 board specification: 8.74 TFLOP/s in float32, 480 GB/s and 24 GB for two GPUs",
)
PCIE3 = Link("PCI Express 3 x16", rate=12e9, latency=20e-6, source="PCI-SIG: 15.75 GB/s; 75% of it, latency assumed")
ETHERNET = Link("Ethernet, 40 Gb/s", rate=4e9, latency=50e-6, source="assumed: Wu et al. (2016) do not state it")
# Two Intel Haswell processors have 2 x 68 GB/s; 70% of it.
PAPER_MACHINES = Cluster(K80, 8, PCIE3, ETHERNET, PCIE3, host_memory_rate=95e9, spread=0.22)

GNMT_V2 = Network(hidden=1024, encoder_layers=4, decoder_layers=4, vocabulary=32_320)
GNMT_PAPER = Network(hidden=1024, encoder_layers=8, decoder_layers=8, vocabulary=32_000)
BATCH = Batch(sentences=128, source=26, target=26)  # WMT16 English-German, sentences of at most 50 tokens
