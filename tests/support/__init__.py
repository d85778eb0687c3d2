"""What tests of several folders share."""

import pytest

pytest.register_assert_rewrite(*(f"support.{name}" for name in ("crash_test", "invariants", "machine")))
