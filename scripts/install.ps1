# Installs wstap from a release, after checking its SHA-256 sum.
#
#   irm https://github.com/wstap/wstap/releases/latest/download/install.ps1 | iex
#
# Variables:
#   WSTAP_VERSION   a version such as 0.1.0; the latest by default
#   WSTAP_DIR       where the executable goes; ~\.wstap\bin by default
#   WSTAP_RELEASES  where releases are downloaded from
$ErrorActionPreference = "Stop"
$ProgressPreference = "SilentlyContinue" # the bar makes Windows PowerShell slow

& {
  $releases = if ($env:WSTAP_RELEASES) { $env:WSTAP_RELEASES } else { "https://github.com/wstap/wstap/releases" }
  $dir = if ($env:WSTAP_DIR) { $env:WSTAP_DIR } else { Join-Path $HOME ".wstap\bin" }
  $from = if ($env:WSTAP_VERSION) { "$releases/download/v$($env:WSTAP_VERSION -replace '^v', '')" } else { "$releases/latest/download" }

  # A 32-bit or emulated shell names its own architecture first.
  $architecture = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
  $machine = switch ($architecture) {
    "AMD64" { "x86_64" }
    "ARM64" { "aarch64" }
    default { throw "wstap is not installed: there is no executable for $architecture" }
  }
  $name = "wstap-$machine-pc-windows-msvc"

  $work = Join-Path ([IO.Path]::GetTempPath()) "wstap-$([Guid]::NewGuid())"
  New-Item -ItemType Directory -Path $work | Out-Null
  try {
    foreach ($file in "SHA256SUMS", "$name.zip") {
      Invoke-WebRequest -UseBasicParsing -Uri "$from/$file" -OutFile (Join-Path $work $file)
    }
    $line = Get-Content (Join-Path $work "SHA256SUMS") | Where-Object { $_ -match "^[0-9a-f]{64}  $([Regex]::Escape($name))\.zip$" }
    if (-not $line) { throw "wstap is not installed: SHA256SUMS does not list $name.zip" }
    $expected = $line.Substring(0, 64)
    $actual = (Get-FileHash -Algorithm SHA256 (Join-Path $work "$name.zip")).Hash
    if ($expected -ne $actual) { throw "wstap is not installed: the SHA-256 sum of $name.zip is wrong" }

    Expand-Archive -Path (Join-Path $work "$name.zip") -DestinationPath $work
    New-Item -ItemType Directory -Force -Path $dir | Out-Null
    $target = Join-Path $dir "wstap.exe"
    Copy-Item -Force (Join-Path $work "$name\wstap.exe") $target
    Write-Output "Installed $(& $target --version) as $target"
  } finally {
    Remove-Item -Recurse -Force $work
  }

  $path = [Environment]::GetEnvironmentVariable("Path", "User")
  if (($path -split ";") -notcontains $dir) {
    [Environment]::SetEnvironmentVariable("Path", "$path;$dir", "User")
    Write-Output "Added $dir to the Path of new terminals"
  }
}
