"""Settings of accounts, from the environment, `.env` and `accounts.toml`.

Everything outside imports from here.
"""

from pipelines.settings.accounts_file import ACCOUNT_OPTIONS, ACCOUNTS_FILE, choose_accounts, load_accounts
from pipelines.settings.credentials import check_credentials, check_given_secrets, read_callback_token
from pipelines.settings.env_file_writer import render_env_example, set_variables
from pipelines.settings.environment import DEMO, adopt_environment, read_env_file, read_environment
from pipelines.settings.home import HOME, IS_CHECKOUT, PROGRAM, PROJECT, SHARED, Home, find_home
from pipelines.settings.parsers import SettingsError, parse_day_text
from pipelines.settings.proxies import check_proxy, exclude_loopback
from pipelines.settings.settings import HOME_VARIABLE, VARIABLES, AlertSettings, Settings, check_account, load_settings
