"""The checks, in the order in which they run and are reported."""

# isort: off
import lossutils.doctor.checks.graph
import lossutils.doctor.checks.finite
import lossutils.doctor.checks.batch
import lossutils.doctor.checks.execution
import lossutils.doctor.checks.pull
import lossutils.doctor.checks.estimate
import lossutils.doctor.checks.behaviour  # noqa: F401
