/** The panel of a task in a tab: its own kernel runs tsf.panel, and no notebook is needed. */

import { type ISessionContext, SessionContext } from '@jupyterlab/apputils';
import { OutputAreaModel, SimplifiedOutputArea } from '@jupyterlab/outputarea';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ServiceManager } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { Panel } from '@lumino/widgets';

import type { Page } from './desk';
import { Store } from './model/store';
import { language, t } from './model/words';

/** The one function of ipywidgets' extension that binds its widgets to a kernel outside of a notebook. */
interface WidgetsExtension {
  registerWidgetManager(context: object, rendermime: IRenderMimeRegistry, renderers: Iterable<never>): unknown;
}

/** After a reload the kernel is the same, and it knows by what name the new task was saved. */
const SAVED =
  'panel.model.name if "panel" in globals() and not panel.model.is_new and panel.model.name in panel.model.tasks else ""';

/** What the server does with a kernel, whoever asks for it. */
const KERNEL_ACTIONS = 'https://events.jupyter.org/jupyter_server/kernel_actions/v1';

/** An empty form in place of a task that is saved; what was typed and not saved stays. */
const RENEW =
  'if "panel" in globals() and not panel.model.is_new and not panel.model.diff:\n    panel.start_new("storage")';

/** Python that shows the panel; a task's name is text from outside, and JSON text is a Python literal. */
export function panelCode(task = ''): string {
  const name = task ? JSON.stringify(task) : SAVED;
  return `from tsf.panel import TaskPanel\npanel = TaskPanel(${name}, language=${JSON.stringify(language())})\npanel`;
}

/** Shows what its kernel says; closing it ends the kernel. */
export class SetupPanel extends Panel {
  readonly page: Store<Page>;
  private readonly session: SessionContext;
  private dead = false;

  constructor(
    private readonly services: ServiceManager.IManager,
    private readonly rendermime: IRenderMimeRegistry,
    { task, session }: Page,
    folder: string
  ) {
    super();
    this.addClass('tsf-setup');
    this.node.lang = language();
    const name = session ?? `tsf-${task ?? 'new-task'}-${Date.now()}`;
    this.page = new Store<Page>({ page: 'setup', task, session: name });
    this.session = new SessionContext({
      sessionManager: services.sessions,
      specsManager: services.kernelspecs,
      kernelManager: services.kernels,
      path: folder ? `${folder}/${name}` : name,
      name: t('Task'),
      type: 'console',
      kernelPreference: { name: 'python3', language: 'python', shutdownOnDispose: true, autoStartDefault: true }
    });
    this.message(t('Starting…'));
    // A kernel that dies also lets what was asked of it fail; that it has died says more.
    void this.start().catch(error => this.dead || this.message((error as Error).message));
  }

  override dispose(): void {
    this.session.dispose();
    super.dispose();
  }

  /** Somebody asks for a new task where this tab, opened for one, may hold one that is saved by now. */
  async renew(): Promise<void> {
    await this.kernel?.requestExecute({ code: RENEW, silent: true }).done;
    await this.retitle();
  }

  private get kernel() {
    return this.session.session?.kernel;
  }

  private async start(): Promise<void> {
    await this.services.ready;
    await this.session.initialize();
    await this.session.ready;
    const registry = this.rendermime.clone();
    const widgets = (await import('@jupyter-widgets/jupyterlab-manager')) as unknown as WidgetsExtension;
    widgets.registerWidgetManager(documentLike(this.session), registry, []);
    const output = new SimplifiedOutputArea({ model: new OutputAreaModel({ trusted: true }), rendermime: registry });
    this.widgets.slice().forEach(widget => widget.dispose());
    this.addWidget(output);
    const died = () => {
      this.dead = true;
      this.message(t('The kernel has died. Close this tab and open it again; params.yaml holds all that was saved.'));
    };
    this.session.statusChanged.connect(
      (_, status) => void ((status === 'dead' || status === 'autorestarting') && died())
    );
    // Started anew by somebody else it knows no panel; the server tells that apart from the kernel's own words, which
    // are lost where they come before the server listens to the new process.
    this.services.events.stream.connect((_, event) => {
      if (event.schema_id === KERNEL_ACTIONS && event.action === 'restart' && event.kernel_id === this.kernel?.id) {
        died();
      }
    }, this);
    this.session.kernelChanged.connect((_, { newValue }) => void (newValue ?? died())); // shut down, here or elsewhere
    await SimplifiedOutputArea.execute(panelCode(this.page.get().task), output, this.session);
    await this.retitle();
  }

  private async retitle(): Promise<void> {
    const task = this.page.get().task ?? (await this.savedName());
    this.title.label = task ? t('Edit {task}', { task }) : t('New task');
  }

  /** The name by which the kernel has saved the new task, "" where it has not. */
  private async savedName(): Promise<string> {
    const asked = { code: '', silent: true, user_expressions: { saved: SAVED } };
    const reply = await this.kernel?.requestExecute(asked).done;
    const answer = reply?.content.status === 'ok' ? reply.content.user_expressions.saved : undefined;
    const text = (answer as { data?: Record<string, string> } | undefined)?.data?.['text/plain'] ?? '';
    return text.replace(/^'|'$/g, ''); // a task's name is of a-z, 0-9 and _: Python's literal is it in quotes
  }

  private message(text: string): void {
    this.widgets.slice().forEach(widget => widget.dispose());
    const note = new Panel();
    note.addClass('tsf-note');
    note.node.setAttribute('role', 'status');
    note.node.textContent = text;
    this.addWidget(note);
  }
}

/** As much of a notebook's context as the widget manager asks for: a session, a model without saved widgets, signals. */
function documentLike(sessionContext: ISessionContext): object {
  const model = { getMetadata: () => undefined, setMetadata: () => undefined, dirty: false };
  const context = { sessionContext, model };
  return Object.assign(context, { saveState: new Signal<object, string>(context) });
}
