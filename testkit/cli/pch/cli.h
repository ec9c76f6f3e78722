// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What most files of the command include, read once: half of its compile time.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>
