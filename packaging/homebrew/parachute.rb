# Homebrew's formula. `url` and `sha256` are those of a release's source archive:
# `packaging/release` prints both.
class Parachute < Formula
  desc "Keeps a box's services running and tells the truth about them"
  homepage "https://parachute.computer"
  url "https://parachute.computer/releases/parachute-0.8.0-source.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    system bin/"parachute", "man", "--out", "man1"
    man1.install Dir["man1/*.1"]
    generate_completions_from_executable(bin/"parachute", "completions", shells: [:bash, :zsh, :fish])
  end

  # `parachute init` makes the same a launchd agent with a label that `parachute` itself drives; use
  # one of the two, not both.
  service do
    run [opt_bin/"parachute", "serve"]
    keep_alive true
    environment_variables PARACHUTE_BIND_HOST: "127.0.0.1", PORT: "1939",
                          PATH: std_service_path_env
    log_path var/"log/parachute.log"
    error_log_path var/"log/parachute.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/parachute --version")
    ENV["PARACHUTE_MANAGER"] = "none"
    assert_equal "empty", shell_output("#{bin}/parachute --home #{testpath}/box health").strip
  end
end
