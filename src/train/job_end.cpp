#include "train/job_end.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>

namespace tessera::train {
namespace {

using TimePoint = std::chrono::system_clock::time_point;

// The variable's text where it is all digits, which can stand in a command.
std::string number_in(const char* variable) {
  const char* text = std::getenv(variable);
  const std::string value = text != nullptr ? text : "";
  return value.find_first_not_of("0123456789") == std::string::npos ? value : "";
}

std::string answer_of(const std::string& command) {
  struct Closer {
    void operator()(std::FILE* pipe) const { ::pclose(pipe); }
  };
  // Of our own words and digits.
  const std::unique_ptr<std::FILE, Closer> pipe(::popen(command.c_str(), "r"));  // NOLINT(bugprone-command-processor)
  std::array<char, 256> line{};
  return pipe && std::fgets(line.data(), line.size(), pipe.get()) != nullptr ? line.data() : "";
}

// squeue's answer is local time; "NONE" or "N/A" where there is no limit.
std::optional<TimePoint> ask_squeue(const std::string& job) {
  const std::string answer =
      answer_of("SLURM_TIME_FORMAT=standard timeout 10 squeue --noheader --jobs " + job + " --format %e 2>/dev/null");
  std::tm local{};
  if (::strptime(answer.c_str(), "%Y-%m-%dT%H:%M:%S", &local) == nullptr) {
    return std::nullopt;
  }
  local.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&local));
}

}  // namespace

std::optional<TimePoint> end_of_slurm_job() {
  std::string job = number_in("SLURM_JOB_ID");
  if (job.empty()) {
    return std::nullopt;
  }
  if (const std::string end = number_in("SLURM_JOB_END_TIME"); !end.empty()) {
    return std::chrono::system_clock::from_time_t(std::strtoll(end.c_str(), nullptr, 10));
  }
  // The id of an array's last task is the array's as well, for which squeue would answer with all its tasks.
  const std::string array = number_in("SLURM_ARRAY_JOB_ID");
  const std::string task = number_in("SLURM_ARRAY_TASK_ID");
  return ask_squeue(!array.empty() && !task.empty() ? array + "_" + task : job);
}

}  // namespace tessera::train
