// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: tests are GoogleTest's (testkit/test.h).
#pragma once

#include <gtest/gtest.h>
