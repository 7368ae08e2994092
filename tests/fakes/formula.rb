#!/usr/bin/env ruby
# frozen_string_literal: true

# A stand-in for Homebrew, for tests where there is none: `formula.rb FORMULA BINARY PREFIX`.
#
# What it stands for: `brew install`, `brew services` and `brew test` of one formula, and the rules of
# `brew audit --strict` that need no network, as far as this project's formula uses them. From which
# public facts: Homebrew's Formula Cookbook and the documentation of its classes Formula and
# Homebrew::Service (docs.brew.sh). Words that it does not know it refuses, so that no test rests on
# them. It compiles nothing: `cargo install` puts BINARY in place, and must be called as Homebrew's own
# arguments have it. All else is run for real. Prints what `brew services` would run, as JSON.

require "json"
require "fileutils"
require "open3"
require "pathname"

FORMULA, BINARY, PREFIX = ARGV.map { |path| Pathname.new(path).expand_path }
abort "usage: formula.rb FORMULA BINARY PREFIX" unless PREFIX

def refuse(why)
  abort "#{FORMULA.basename}: #{why}"
end

# The places that a formula may name.
module Places
  def prefix = PREFIX/"Cellar"
  def opt_prefix = PREFIX/"opt"
  def var = PREFIX/"var"
  def bin = prefix/"bin"
  def opt_bin = opt_prefix/"bin"
end

class Service
  include Places

  KEYS = [:run, :keep_alive, :environment_variables, :log_path, :error_log_path].freeze
  KEYS.each do |key|
    define_method(key) do |*values, **named|
      refuse "service: #{key} is there twice" if @told.key?(key)
      @told[key] = named.empty? ? values.first : named
    end
  end

  def initialize(block)
    @told = {}
    instance_eval(&block)
    refuse "service: nothing to run" unless @told[:run].is_a?(Array)
    refuse "service: keep_alive is true or false" unless [true, false].include?(@told[:keep_alive])
  end

  def std_service_path_env = "#{PREFIX}/bin:#{PREFIX}/sbin:/usr/bin:/bin:/usr/sbin:/sbin"
  def to_json(*args) = @told.to_json(*args)
  def method_missing(name, *) = refuse("service: `#{name}` is not known here")
  def respond_to_missing?(*) = false
end

class Formula
  include Places

  FIELDS = [:desc, :homepage, :url, :sha256, :license].freeze
  class << self
    attr_reader :told, :parts

    def inherited(formula)
      super
      formula.instance_variable_set(:@told, {})
      formula.instance_variable_set(:@parts, {})
      @last = formula
    end

    attr_reader :last

    FIELDS.each do |field|
      define_method(field) do |value = nil, **named|
        return told[field] if value.nil? && named.empty?

        refuse "#{field} is there twice" if told.key?(field)
        told[field] = value || named
      end
    end

    def depends_on(what)
      refuse "depends_on: #{what}" unless what == { "rust" => :build }
      parts[:depends_on] = what
    end

    def service(&block) = parts[:service] = block
    def test(&block) = parts[:test] = block
    def method_missing(name, *) = refuse("`#{name}` is not known here")
    def respond_to_missing?(*) = false
  end

  def version = self.class.url[/-(\d+\.\d+\.\d+)-/, 1]
  def std_cargo_args = ["--locked", "--root=#{prefix}", "--path=."]
  def testpath = PREFIX/"test"
  def man1 = Into.new(prefix/"share/man/man1")

  Into = Struct.new(:folder) do
    def install(files)
      refuse "nothing to install into #{folder}" if files.empty?
      FileUtils.mkdir_p folder
      FileUtils.mv files, folder
    end
  end

  def system(program, *args)
    if program.to_s == "cargo"
      refuse "cargo #{args}" unless args == ["install", *std_cargo_args]
      FileUtils.mkdir_p bin
      FileUtils.cp BINARY, bin/"parachute"
    else
      Kernel.system(program.to_s, *args.map(&:to_s), out: File::NULL) || refuse("#{program} failed")
    end
  end

  def generate_completions_from_executable(program, *args, shells:)
    places = { bash: "etc/bash_completion.d/parachute", zsh: "share/zsh/site-functions/_parachute",
               fish: "share/fish/vendor_completions.d/parachute.fish" }
    shells.each do |shell|
      said, status = Open3.capture2(program.to_s, *args, shell.to_s)
      refuse "no completions for #{shell}" if !status.success? || said.empty?
      file = prefix/places.fetch(shell)
      FileUtils.mkdir_p file.dirname
      file.write said
    end
  end

  def shell_output(command, wanted = 0)
    said, status = Open3.capture2(command)
    refuse "`#{command}` gave #{status.exitstatus}" unless status.exitstatus == wanted
    said
  end

  def assert_equal(wanted, found) = wanted == found || refuse("#{found.inspect}, not #{wanted.inspect}")
  def assert_match(wanted, found) = found.include?(wanted) || refuse("#{found.inspect} has no #{wanted.inspect}")
end

def audit(formula)
  Formula::FIELDS.each { |field| refuse "#{field} is missing" unless formula.told[field] }
  desc = formula.desc
  refuse "desc is longer than 80" if desc.length > 80
  refuse "desc ends with a full stop" if desc.end_with?(".")
  refuse "desc starts with an article or its own name" if desc.match?(/\A(an?|the|parachute)\b/i)
  [formula.homepage, formula.url].each { |at| refuse "#{at} is not https" unless at.start_with?("https://") }
  refuse "sha256 is not one" unless formula.sha256.match?(/\A\h{64}\z/)
  [:service, :test, :depends_on].each { |part| refuse "no #{part}" unless formula.parts[part] }
end

load FORMULA.to_s
formula = Formula.last
refuse "the class is not Parachute" unless formula&.name == "Parachute"
audit(formula)
one = formula.new
refuse "the url has no version" unless one.version
FileUtils.mkdir_p [one.testpath, PREFIX/"build", PREFIX/"opt"]
Dir.chdir(PREFIX/"build") { one.install }
FileUtils.ln_sf one.bin, one.opt_prefix
service = Service.new(formula.parts[:service])
Dir.chdir(one.testpath) { one.instance_eval(&formula.parts[:test]) }
puts JSON.generate(version: one.version, service: service)
